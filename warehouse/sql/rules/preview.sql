ATTACH {{ published | literal }} AS published (READ_ONLY);
CREATE SCHEMA core;
{% for table in ("charges", "usage", "metered_usage") %}
CREATE VIEW core.{{ table }} AS SELECT * FROM published.core.{{ table }};
{% endfor %}
CREATE SCHEMA ops;
CREATE VIEW ops.deliveries AS SELECT * FROM published.ops.deliveries;
