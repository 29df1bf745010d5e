SELECT published_at FROM ops.publication
