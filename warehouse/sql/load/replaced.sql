{% if by == "window" %}
{{ day_column }} >= {{ window_start | literal }}::DATE AND {{ day_column }} < {{ window_end | literal }}::DATE
{% else %}
scope = {{ scope | literal }}
{% endif %}
