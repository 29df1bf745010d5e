UPDATE turns.{{ writes | name }} SET number = number + 1
