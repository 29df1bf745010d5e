-- A file is written, read, and removed by the rollback.
CREATE TABLE lake.main.trendbreak_check AS SELECT range AS n FROM range(10);
SELECT sum(n) FROM lake.main.trendbreak_check
