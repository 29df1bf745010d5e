SELECT count(*), sum(hash(t)::HUGEINT) FROM {{ schema | name }}.{{ table | name }} AS t
