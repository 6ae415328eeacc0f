"""Engines that come with Roost, one package each."""
