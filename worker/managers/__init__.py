"""Model managers: which engine process holds which model, and for how long."""
