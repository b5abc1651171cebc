"""Parts of the scheduler's policy, each alone: what waits (mailbox), whose turn (rounds), how long (costs),
how full the house is (load). Pure: they take the time and data, and do no I/O."""
