"""How people and programs look at Roost: admin, API and live updates."""
