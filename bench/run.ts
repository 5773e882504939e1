console.error('later');
