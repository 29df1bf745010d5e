{#- The shared pool that a charge belongs to by nature; 0 for none. -#}
(CASE {% for pool in pools %}WHEN {{ pool.condition }} THEN {{ loop.index }} {% endfor %}ELSE 0 END)::INTEGER
