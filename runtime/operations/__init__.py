"""Every change that people and products make, one verb a module."""
