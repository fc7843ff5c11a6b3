"""The method, on arrays alone: thresholds, the thin-cloud filter and its guard, moved cuts, profiles."""
