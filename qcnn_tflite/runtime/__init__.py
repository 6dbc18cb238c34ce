"""Runs converted models in stock TensorFlow Lite interpreters."""
