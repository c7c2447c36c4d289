"""From a closed study to stored result objects.

``decode`` (pixels, in a child process) → ``pipeline`` (study in, scores and heat maps out) →
``record`` (the outcome, on disk between two steps) → ``worker`` (the durable steps themselves).
"""
