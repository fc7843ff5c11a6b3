"""Does a model fit the ice of some clear scenes: its maps under drawn skies, against the clear labels."""
