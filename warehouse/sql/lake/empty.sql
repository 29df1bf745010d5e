DELETE FROM {{ schema | name }}.{{ table | name }}
