UPDATE {{ table }} SET source_name = ? WHERE source_name = ?
