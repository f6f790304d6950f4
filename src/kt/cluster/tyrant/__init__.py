"""Tokyo Tyrant's commands on databases of clusters."""
