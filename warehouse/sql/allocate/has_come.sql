{#- A purchase's part for a day counts once bills speak of that day; a row of a bill counts whatever its day. -#}
(source_rows > 0 OR charge_date <= {% include "allocate/newest_day.sql" %})
