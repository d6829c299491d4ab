"""The ends of residual blocks in training and inference, and what they are computed with."""
