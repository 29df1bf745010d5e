DROP TABLE IF EXISTS temp.main.{{ table | name }}
