"""Kinds of markets: they price every interval, bill every vehicle and book all money."""
