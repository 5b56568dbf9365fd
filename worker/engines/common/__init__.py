"""What several engines share: samples of a recording, checkpoints, torch, stage times."""
