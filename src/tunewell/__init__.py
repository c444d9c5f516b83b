"""Fine-tune a model for your field, and prove what it learned and what it kept."""

__version__ = "0.1.0"
