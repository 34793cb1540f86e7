-- The filter whose values a query job lists, instead of the rows of its report.
alter table jobs add column values_of text check (values_of is null or kind = 'query');
