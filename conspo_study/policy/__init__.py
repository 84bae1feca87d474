"""The language model: where it comes from and how it scores responses."""
