"""The study log: what came in, what became of it, and where it went."""
