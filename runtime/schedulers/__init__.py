"""The schedulers, one per file, found by name; each file holds CLASS_NAME, Config and Scheduler."""
