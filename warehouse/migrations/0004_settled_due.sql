-- Until which day each source should be settled by now: what is settled earlier is late.
ALTER TABLE ops.settled ADD COLUMN due_through DATE;
