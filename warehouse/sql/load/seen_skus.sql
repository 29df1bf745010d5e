SELECT DISTINCT pattern_span, {% for column in sku %}{{ column }}{{ ", " if not loop.last }}{% endfor %}

FROM seen_dimensions
