"""Trains the digit CNN."""
