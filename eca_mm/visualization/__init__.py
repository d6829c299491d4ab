"""Pictures of what attention does and of what runs have reached, with the figures behind them."""
