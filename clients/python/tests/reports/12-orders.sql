---
id: 12
title: Orders
shared_with: everyone
filters:
  since: {type: date, default: 2026-01-01}
  status: {type: dropdown, values: [open, paid], multiple: true}
---
select * from (values
    (1, date '2026-01-30', '00123', 'paid', 19.90::decimal(9, 2), 7),
    (2, date '2026-01-31', '04109', 'open', 5.00::decimal(9, 2), null),
    (3, date '2026-02-01', '80331', 'paid', 120.50::decimal(9, 2), 9)
) orders("order", day, zip, status, amount, customer)
where day >= {{ since }} [[and status in ({{ status }})]]
order by 1
