"""PyTorch modules as float networks, through torch.export."""
