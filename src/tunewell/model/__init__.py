"""Base models and adapters: find, load, adapt, merge, generate, score.

Importing this package is cheap; its modules import torch, except `locate`, so that a run with nothing to do never loads it.
"""
