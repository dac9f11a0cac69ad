"""Voltstep: co-simulation of electric vehicle fleets, the grid that charges them and its market."""

__version__ = "0.1.0"
