"""One file per address. Routes translate between the web and the rooms below; they decide nothing else."""
