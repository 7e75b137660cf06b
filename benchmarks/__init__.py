"""Load scenarios and the rig that measures what the gateway costs. Talks HTTP only, imports none of our packages."""
