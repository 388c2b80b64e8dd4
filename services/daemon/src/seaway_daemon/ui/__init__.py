"""The page at /ui: static files that ask the same API as everybody else. `pages.py` gives out `assets/`."""
