"""The demo's two voices, made by arithmetic: ``python -m recipes.voices``."""
