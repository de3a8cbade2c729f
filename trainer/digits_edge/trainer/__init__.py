"""Trains the digit CNN, and leaves a run directory with all that is known about it.

Modules are imported by name: ``architectures`` and ``recipes`` cost nothing, the others bring NumPy or Keras.
"""
