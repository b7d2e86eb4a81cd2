"""From each protocol's form to frames and back: one file a direction, all pure."""
