"""From a closed study to stored result objects.

``decode`` (pixels, in a ``decoding_process``) → ``pipeline`` (study in, scores and heat maps out)
→ ``record`` (the outcome, on disk between two steps) → ``worker`` (the durable steps themselves).
"""
