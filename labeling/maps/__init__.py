"""What maps say together: mosaics, concentration, areas, floes, edges, on arrays."""
