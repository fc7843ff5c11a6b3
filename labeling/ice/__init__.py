"""The method, on arrays alone: thresholds, the filter and its guard, moved cuts, profiles."""
