"""Inference: a condition in, meshes out. What the scripts `infer*.py`, evaluation and other programs call."""
