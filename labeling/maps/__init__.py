"""What maps say together: mosaics, concentration, areas, floes and edges, on arrays."""
