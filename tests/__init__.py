"""Tests of Voltstep; ``python -m tests`` runs every check."""
