"""penstock: a live media server for one box."""
