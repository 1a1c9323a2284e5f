"""Training: one loop (trainer), what it trains (tasks), and what it keeps (checkpoint, weights, log)."""
