"""What is Guildhall's own in the stack: its parts, its words of `./guildhall`, and the tools behind them."""
