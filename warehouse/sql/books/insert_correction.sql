INSERT INTO core.corrections BY NAME
SELECT {% for column in columns %}${{ column }} AS {{ column }}{{ ", " if not loop.last }}{% endfor %}
