-- What a restatement changed of the invoice too: an upfront fee, the negation of covered usage. Null for those that were
-- recorded before it was kept.
ALTER TABLE ops.restatements ADD COLUMN old_billed_cost DECIMAL(38, 12);
ALTER TABLE ops.restatements ADD COLUMN new_billed_cost DECIMAL(38, 12);
ALTER TABLE ops.restatements ADD COLUMN delta_billed_cost DECIMAL(38, 12);
